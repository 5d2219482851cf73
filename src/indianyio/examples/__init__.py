"""Drivers that run as they are, and models for your own.

===============  ============================================================================================
``thermostat``   numbers and switches, a loop in ``hardware()`` and another in the background
``window``       snoops the thermostat and opens or closes a window
``camera``       exposures with countdown and Abort, FITS images as BLOBs (``pip install 'indianyio[fits]'``)
``mount``        slews with Abort, and parks when it is stopped
===============  ============================================================================================
"""
