# SPDX-License-Identifier: MIT
"""A stand-in for KWDB: its REST endpoints over TLS, with rows in a SQLite file.

What the modules hold, from the wire inwards:

    cli        options, start, stop             stream  TLS over a socket
    control    the loopback port for tests      httpd   connections, HTTP/1.1
    certs      CA and server certificate        rest    the endpoints and their replies
    faults     what goes wrong, and when        auth    the Authorization header, users, tokens
    stats      what was counted                 telegraf  a line to one INSERT
    engine     INSERT, privileges, verdicts     ddl, query  the other two statement kinds
    sqltext    tokens and the INSERT grammar    coltypes  column types and coercion
    store      SQLite                           gotext  texts as Go prints them
"""
