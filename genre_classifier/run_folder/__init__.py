"""The run folder: every file of a trained model, by name, and how each is written, read and checked.

Out: `run.load_run` gives a `Run`; `layout` names the files and says who may write to them;
`card` says where a run comes from, `checkpoints` what a training goes on from.
"""
