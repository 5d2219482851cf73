"""Drivers that run as they are, and can serve as models for your own.

===============  ============================================================================================
``thermostat``   a plain ``IPyDriver``: numbers and switches, a loop in ``hardware()`` and another in the background
``window``       an ``Instrument`` that follows the thermostat and opens or closes a window
``camera``       a ``Camera``: exposures with countdown and Abort, FITS images as BLOBs
``mount``        a ``Mount``: slews with Abort, and parks when it is stopped
===============  ============================================================================================
"""
