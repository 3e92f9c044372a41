"""The interactive prompt: its names, its completion, its history.

`namespace` also serves `kdive -e` and code piped into the command, which see the same names.
How values are printed lives in `kdive.render`.
"""
