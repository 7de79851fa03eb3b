"""Code that adapts libraries: processes of joblib and PyTorch, Spark tasks, and the arguments of XGBoost."""
