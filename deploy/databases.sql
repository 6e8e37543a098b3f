-- One database for Dagster and one for MLflow, of one home.
create database dagster;
create database mlflow;
