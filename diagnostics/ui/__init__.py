"""The screens' parts: the only package that imports streamlit, and never torch."""
