"""Processes and threads: children that serve jobs, pools of them, how work is shared out, and what the machine has."""
