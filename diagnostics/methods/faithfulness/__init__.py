"""Faithfulness: does a heatmap depend on the model, and does the model depend on what it marks?"""
