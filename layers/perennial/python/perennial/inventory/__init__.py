"""Everything that Perennial keeps in its table. `store.Inventory` is the way in; `records` are what it returns."""
