"""Answers {"rows": [[…]]} with the predictions of a model that joblib wrote."""

import joblib


def load(path):
    return Model(joblib.load(path))


class Model:
    def __init__(self, model):
        self.model = model

    def predict(self, request):
        return {"predictions": self.model.predict(request["rows"]).tolist()}
