"""Public benchmarks: our signals over their files, to a file that their scorers take.

One module per benchmark, found by its name, with COLUMNS and `predictions(folder)`, which yields rows of these columns.
The signals are those that run in a plant, with one and the same setting for all files; a row is judged by the rows up
to it. Nothing here knows a label.
"""
