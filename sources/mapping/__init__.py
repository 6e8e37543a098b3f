"""A bank's own files as they are, through `mapping.yml`: names, codes, formats and signs."""
