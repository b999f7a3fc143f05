// Writes items into a table of a dynalite that does not run, as its PutItem keeps them.
//
// node due_load.cjs DIRECTORY TABLE < items, one a line, in DynamoDB's JSON
"use strict"

const { createInterface } = require("node:readline")
const { promisify } = require("node:util")
const { create, createKey, getIndexActions } = require("dynalite/db")

const BATCH = 2000 // items that are written at once

async function main(directory, name) {
  const store = create({ path: directory })
  await store.db.open()
  const table = await promisify(store.getTable)(name)
  let items = []
  for await (const line of createInterface({ input: process.stdin })) {
    items.push(JSON.parse(line))
    if (items.length === BATCH) {
      await write(store, table, items)
      items = []
    }
  }
  await write(store, table, items)
  await store.db.close()
}

async function write(store, table, items) {
  const puts = items.map((item) => ({ type: "put", key: createKey(item, table), value: item }))
  await batch(store.getItemDb(table.TableName), puts)
  const entries = items.flatMap((item) => getIndexActions(table.GlobalSecondaryIndexes, undefined, item, table).puts)
  for (const { IndexName: index } of table.GlobalSecondaryIndexes) {
    const own = entries.filter((entry) => entry.index === index)
    const puts = own.map(({ key, item }) => ({ type: "put", key, value: item }))
    await batch(store.getIndexDb("Global", table.TableName, index), puts)
  }
}

function batch(database, puts) {
  return promisify(database.batch)(puts)
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error)
  process.exitCode = 1
})
