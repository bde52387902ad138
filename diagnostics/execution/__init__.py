"""Execution: nobody else loads a model or calls a method."""
