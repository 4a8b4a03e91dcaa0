"""Public benchmarks: our signals over their files, to a file that their scorers take.

One module per benchmark, found by its name, with COLUMNS and `predictions(folder)`, which yields rows of these columns,
each behind the name of the set that it belongs to, if the benchmark has sets that are scored one by one.
One that has `told(rows)` says more of them, line by line.
The signals are those that run in a plant, with one and the same setting for all files; a row is judged by the rows up
to it. Nothing here knows a label.
"""
