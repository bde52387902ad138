"""Verdicts on answers: cards, evidence, and pictures of interventions."""
