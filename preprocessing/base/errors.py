"""The two exceptions that this project raises for its users.

Everything else that escapes is a defect of the program. Messages name the file, what was expected, what was found
and what to do, in one line.
"""


class InputError(ValueError):
    """Something given by the user cannot be used: a file, a table, a video, an argument.

    The command line prints the message and exits with 2; inside a batch, the one input is recorded as failed.
    """


class WorkError(RuntimeError):
    """The input was good, but the work could not be done: a full disk, too little memory, a lost worker.

    The command line prints the message and exits with 1.
    """
