"""Real ACME servers on loopback, for tests, the bench and the demo. Each is a process that ends with its block.

    install.py                 what scripts/setup installs, and where it is found
    process.py                 a server process: a bounded start, its log in the error, its end
    loopback_tls.py            a certificate for 127.0.0.1 and the CA that signed it
    pebble.py                  Pebble, Let's Encrypt's test server: strict, nonce rejections, EAB, profiles, ARI, chains
    acme2certifier.py          acme2certifier: a second opinion on EAB, profiles, ARI and dns-persist-01
    acme2certifier_server.py   the process of acme2certifier, run by the interpreter of its own environment

Both validate names against a DNS server that the caller gives: see `local_cloud.dns_bridge`.

    >>> with serve(records) as dns, pebble(directory, dns=f"127.0.0.1:{dns}") as server:  # doctest: +SKIP
    ...     print(server.directory)
"""
