"""How badly trained policies can be hurt: attacks, certificates, changed physics, and tables that compare victims."""
