"""The catalogue: INDI's standard properties as classes, a module for each kind of device.

::

    from indianyio.standard.camera import CcdBinning, CcdExposure

    CcdBinning(x=2, y=2)
    CcdExposure(seconds=30)

Names, labels, groups, formats, limits and states are those of libindi, so clients recognise the device. If your
camera or mount has other limits, subclass the class and declare the member again. The classes are those of
:mod:`indianyio.properties`. The modules are generated from ``catalogue.toml`` in this folder;
docs/standard-properties.md lists them all. Importing one does not import the others.
"""
