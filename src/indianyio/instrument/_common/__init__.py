"""What several device classes have in common: backlash, a site, outputs, and parking."""
