"""This package holds the theorems and the engines that prove them."""
