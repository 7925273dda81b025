"""Answers {"wines": [[…13 numbers…]]} with the chance of each class."""

import joblib


def load(path):
    return Wines(joblib.load(path))


class Wines:
    def __init__(self, model):
        self.model = model

    def predict(self, request):
        chances = self.model.predict_proba(request["wines"])
        rows = [dict(zip(self.model.classes_, map(float, row), strict=True)) for row in chances]
        return {"chances": rows}
