"""Jobs: a job file, its run directory, checkpoints, and the loop that fits, saves, evaluates and resumes."""
