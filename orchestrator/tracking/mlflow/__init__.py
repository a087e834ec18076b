"""MLflow as the tracker."""
