"""The historian: every reading, kept in columns, and asked for by time.

    chunk.py    readings of many series as compressed bytes, and back        pure
    grid.py     readings as they arrived as bytes, and back                  pure
    order.py    readings by series and time, each once                       pure
    rollup.py   readings of many series to one row per series and minute     pure
    held.py     how long values held within such a row                       pure
    summary.py  what readings of one series come to, and pictures of them    pure
    schema.py   the tables, one schema for SQLite and PostgreSQL
    views.py    the roll-ups as SQL users read them
    tail.py     what arrived, as it arrived
    chunks.py   chunks in tables, and what comes late merged with them
    compact.py  from the tail to chunks and roll-ups
    joining.py  small chunks to few
    rows.py     columns into tables
    ask.py      readings of a series out of both
    retention.py what is given up: the old, and the oldest where there is no room
    history.py  the database: append, compact, query
    words.py    answers of devices as they were, in tables
    keeper.py   answers on their way there
    repair.py   readings in the place of others of their time
    backup.py   a copy while it is written, and whether all of it can be read
    queries.py  questions, answered by a process of their own
    answering.py that process: asked by its input, it answers by its output
    frames.py   what passes between the two                          pure
    heed.py     whether anybody still waits for an answer
    sink.py     from the journal's cursor into the database

Two stages, because readings arrive by time and are asked for by tag: what arrives is appended as it is to `tail`, a few
times per second; now and then the tail is sorted into chunks of one series each. A query reads both.
"""
