"""What a report says, as data: every section and format reads this and nothing else."""
