"""The sub-commands of `kdive`: what may stand where a script would."""

# The module of each, which has a function `run` that takes the arguments after the sub-command's name and returns the
# exit status, and what it does.
COMMANDS = {
    "cache": ("kdive.cli.cache", "lists, checks and tidies the indexes kept of debug files"),
    "demo": ("kdive.cli.demo", "shows kdive on a dump that comes with it"),
    "lens": ("kdive.cli.lens", "runs diagnoses on a kernel and says what is wrong with it"),
    "modules": ("kdive.cli.modules", "lists what is loaded in a target, and its files"),
    "verify": ("kdive.cli.verify", "reads all of a dump and says what is damaged"),
}
