"""Code that adapts libraries: joblib's and PyTorch's processes, Spark tasks, and XGBoost's arguments."""
