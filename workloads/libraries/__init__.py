"""Glue to libraries: processes of joblib and PyTorch, tasks of Spark, the words of XGBoost."""
