"""Calibration: is the model right as often as its confidence says?"""
