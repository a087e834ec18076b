"""All kinds of losses of a classification; as with `trainers.kinds`, that of a config counts by itself."""

from trainers.tasks.classification.loss import CrossEntropyLoss
from trainers.tasks.classification.python_loss import PythonLoss

LossConfig = CrossEntropyLoss | PythonLoss
