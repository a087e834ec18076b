"""All servers of the service on one machine: Ray head, MLflow, API, as child processes that end with their parent."""

from api.local_stack.draft import StackOptions, StackUrls
from api.local_stack.errors import AlreadyRunningError, ServerFailedError, StackError
from api.local_stack.stack import LocalStack

__all__ = ["AlreadyRunningError", "LocalStack", "ServerFailedError", "StackError", "StackOptions", "StackUrls"]
