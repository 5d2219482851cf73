import asyncio
import io
from datetime import UTC, datetime

import numpy as np
from astropy.io import fits
from hardware import Sensor
from indipydriver import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
    newNumberVector,
    newSwitchVector,
)


def choose(vector, chosen):
    for name in vector:
        vector[name] = "On" if name == chosen else "Off"


class Camera(IPyDriver):
    def __init__(self):
        self.sensor = None
        self.exposures = 0
        main, settings = "Main Control", "Image Settings"
        self.connection = SwitchVector(
            "CONNECTION", "Connection", main, "rw", "OneOfMany", "Idle",
            [SwitchMember("CONNECT", "Connect"), SwitchMember("DISCONNECT", "Disconnect", "On")],
        )
        info = TextVector(
            "DRIVER_INFO", "Driver Info", "General Info", "ro", "Idle",
            [
                TextMember("DRIVER_NAME", "Name", "Camera"),
                TextMember("DRIVER_EXEC", "Exec", "camera"),
                TextMember("DRIVER_VERSION", "Version", "1.0"),
                TextMember("DRIVER_INTERFACE", "Interface", "2"),
            ],
        )
        self.exposure = NumberVector(
            "CCD_EXPOSURE", "Expose", main, "rw", "Idle",
            [NumberMember("CCD_EXPOSURE_VALUE", "Duration (s)", "%5.2f", 0.01, 3600, 1, 1)],
        )
        self.abort = SwitchVector(
            "CCD_ABORT_EXPOSURE", "Abort", main, "rw", "AtMostOne", "Idle", [SwitchMember("ABORT", "Abort")]
        )
        self.frame = NumberVector(
            "CCD_FRAME", "Frame", settings, "rw", "Idle",
            [
                NumberMember("X", "Left", "%4.0f", 0, 159, 1, 0),
                NumberMember("Y", "Top", "%4.0f", 0, 119, 1, 0),
                NumberMember("WIDTH", "Width", "%4.0f", 1, 160, 1, 160),
                NumberMember("HEIGHT", "Height", "%4.0f", 1, 120, 1, 120),
            ],
        )
        self.binning = NumberVector(
            "CCD_BINNING", "Binning", settings, "rw", "Idle",
            [NumberMember("HOR_BIN", "X", "%2.0f", 1, 2, 1, 1), NumberMember("VER_BIN", "Y", "%2.0f", 1, 2, 1, 1)],
        )
        self.frame_type = SwitchVector(
            "CCD_FRAME_TYPE", "Type", settings, "rw", "OneOfMany", "Idle",
            [
                SwitchMember("FRAME_LIGHT", "Light", "On"),
                SwitchMember("FRAME_BIAS", "Bias"),
                SwitchMember("FRAME_DARK", "Dark"),
                SwitchMember("FRAME_FLAT", "Flat"),
            ],
        )
        sensor_info = NumberVector(
            "CCD_INFO", "CCD Information", "Image Info", "ro", "Idle",
            [
                NumberMember("CCD_MAX_X", "Max. Width", "%4.0f", 1, 16000, 0, 160),
                NumberMember("CCD_MAX_Y", "Max. Height", "%4.0f", 1, 16000, 0, 120),
                NumberMember("CCD_PIXEL_SIZE", "Pixel size (um)", "%5.2f", 1, 40, 0, 3.75),
                NumberMember("CCD_PIXEL_SIZE_X", "Pixel size X", "%5.2f", 1, 40, 0, 3.75),
                NumberMember("CCD_PIXEL_SIZE_Y", "Pixel size Y", "%5.2f", 1, 40, 0, 3.75),
                NumberMember("CCD_BITSPERPIXEL", "Bits per pixel", "%3.0f", 8, 64, 0, 16),
            ],
        )
        self.image = BLOBVector(
            "CCD1", "Image Data", "Image Info", "ro", "Idle", [BLOBMember("CCD1", "Image", blobformat=".fits")]
        )
        self.while_connected = [
            self.exposure, self.abort, self.frame, self.binning, self.frame_type, sensor_info, self.image,
        ]
        for vector in self.while_connected:
            vector.enable = False
        super().__init__(Device("Camera", [self.connection, info, *self.while_connected]))

    async def rxevent(self, event):
        match event:
            case newSwitchVector(vectorname="CONNECTION"):
                await self.connect(event.get("CONNECT") == "On")
            case newNumberVector(vectorname="CCD_EXPOSURE"):
                await self.start(event.getfloatvalue("CCD_EXPOSURE_VALUE"))
            case newSwitchVector(vectorname="CCD_ABORT_EXPOSURE"):
                await self.stop_exposing()
                await self.abort.send_setVector(state="Ok")
            case newNumberVector(vectorname="CCD_FRAME"):
                x, y, width, height = self.wanted(event)
                if min(x, y) < 0 or min(width, height) < 1 or x + width > 160 or y + height > 120:
                    await self.frame.send_setVector("that is not on the sensor of 160 x 120", state="Alert")
                else:
                    await self.take(self.frame, (x, y, width, height))
            case newNumberVector(vectorname="CCD_BINNING"):
                if not all(1 <= pixels <= 2 for pixels in self.wanted(event)):
                    await self.binning.send_setVector("that cannot be binned", state="Alert")
                else:
                    await self.take(self.binning, self.wanted(event))
            case newSwitchVector(vectorname="CCD_FRAME_TYPE"):
                choose(self.frame_type, next(name for name in event if event[name] == "On"))
                await self.frame_type.send_setVector(state="Ok")

    async def connect(self, on):
        if self.sensor is not None:
            await self.stop_exposing()
        self.sensor = Sensor() if on else None
        choose(self.connection, "CONNECT" if on else "DISCONNECT")
        await self.connection.send_setVector(state="Ok" if on else "Idle")
        for vector in self.while_connected:
            if on:
                vector.enable = True
                await vector.send_defVector()
            else:
                await vector.send_delProperty()

    def wanted(self, event):
        vector = event.vector
        return [round(event.getfloatvalue(name) if name in event else float(vector[name])) for name in vector]

    async def take(self, vector, values):
        for name, value in zip(vector, values, strict=True):
            vector[name] = value
        await vector.send_setVector(state="Ok")

    async def start(self, seconds):
        if not 0.01 <= seconds <= 3600:
            await self.exposure.send_setVector(f"{seconds} is not from 0.01 to 3600", state="Alert")
            return
        self.exposures += 1
        await self.sensor.start(seconds)
        area = [round(float(vector[name])) for vector in (self.frame, self.binning) for name in vector]
        kind = next(name for name in self.frame_type if self.frame_type[name] == "On")
        self.add_background(self.expose(seconds, area, kind, self.exposures))

    async def expose(self, seconds, area, kind, number):
        began = datetime.now(UTC)
        while (left := await self.sensor.left()) > 0:
            self.exposure["CCD_EXPOSURE_VALUE"] = left
            await self.exposure.send_setVector(state="Busy")
            await asyncio.sleep(min(left, 1))
            if self.exposures != number or self.stop:
                return
        image = await self.fits_file(seconds, area, kind, began)
        self.image["CCD1"] = image
        self.image.set_blobsize("CCD1", len(image))
        await self.image.send_setVectorMembers(state="Ok", members=["CCD1"])
        self.exposure["CCD_EXPOSURE_VALUE"] = 0
        await self.exposure.send_setVector(state="Ok")

    async def fits_file(self, seconds, area, kind, began):
        _, _, width, height, x_bin, y_bin = area
        pixels = np.array(await self.sensor.read_out(*area), dtype=np.uint16)
        image = fits.PrimaryHDU(pixels.reshape(height // y_bin, width // x_bin))
        image.header["INSTRUME"] = "Camera"
        image.header["DATE-OBS"] = began.replace(tzinfo=None).isoformat(timespec="milliseconds")
        image.header["EXPTIME"] = seconds
        image.header["FRAME"] = kind.removeprefix("FRAME_").capitalize()
        image.header["XBINNING"], image.header["YBINNING"] = x_bin, y_bin
        image.header["PIXSIZE1"] = image.header["PIXSIZE2"] = 3.75
        image.header["XPIXSZ"], image.header["YPIXSZ"] = 3.75 * x_bin, 3.75 * y_bin
        file = io.BytesIO()
        image.writeto(file)
        return file.getvalue()

    async def stop_exposing(self):
        self.exposures += 1
        await self.sensor.stop()
        if self.exposure.state == "Busy":
            self.exposure["CCD_EXPOSURE_VALUE"] = 0
            await self.exposure.send_setVector(state="Idle")
