"""Azure Machine Learning Studio: New and Classic web services, trained by batch jobs."""
