"""What the locked dependencies are: known vulnerabilities, licences, a bill of materials.

Not part of the product: it reads `requirements.lock`, which an installed package does not have.
"""
