"""What is learned and how it is scored. A task is one file here and one line in `TaskConfig`."""

from trainers.tasks.classification import ClassificationConfig

# A union of one for now; pydantic's discriminator needs no second member.
TaskConfig = ClassificationConfig

__all__ = ["ClassificationConfig", "TaskConfig"]
