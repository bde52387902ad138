"""Corruption: at which step of a corruption does the answer change?"""
