#include "indiccd.h"
#include "hardware.h"
#include <memory>

class Camera : public INDI::CCD
{
    public:
        const char *getDefaultName() override
        {
            return "Camera";
        }

        bool initProperties() override
        {
            INDI::CCD::initProperties();
            SetCCDCapability(CCD_CAN_ABORT | CCD_CAN_BIN | CCD_CAN_SUBFRAME);
            PrimaryCCD.setMinMaxStep("CCD_EXPOSURE", "CCD_EXPOSURE_VALUE", 0.01, 3600, 1, false);
            PrimaryCCD.setMinMaxStep("CCD_BINNING", "HOR_BIN", 1, 2, 1, false);
            PrimaryCCD.setMinMaxStep("CCD_BINNING", "VER_BIN", 1, 2, 1, false);
            setDefaultPollingPeriod(250);
            return true;
        }

        bool updateProperties() override
        {
            INDI::CCD::updateProperties();
            if (isConnected())
            {
                SetCCDParams(160, 120, 16, 3.75, 3.75);
                PrimaryCCD.setFrameBufferSize(160 * 120 * 2);
                SetTimer(getCurrentPollingPeriod());
            }
            return true;
        }

    protected:
        bool Connect() override
        {
            sensor = Sensor();
            return true;
        }

        bool Disconnect() override
        {
            return true;
        }

        bool StartExposure(float duration) override
        {
            PrimaryCCD.setExposureDuration(duration);
            sensor.start(duration);
            exposing = true;
            return true;
        }

        bool AbortExposure() override
        {
            sensor.stop();
            exposing = false;
            return true;
        }

        bool UpdateCCDFrame(int x, int y, int w, int h) override
        {
            if (x + w > 160 || y + h > 120)
                return false;
            PrimaryCCD.setFrame(x, y, w, h);
            PrimaryCCD.setFrameBufferSize((w / PrimaryCCD.getBinX()) * (h / PrimaryCCD.getBinY()) * 2);
            return true;
        }

        bool UpdateCCDBin(int hor, int ver) override
        {
            PrimaryCCD.setBin(hor, ver);
            return UpdateCCDFrame(PrimaryCCD.getSubX(), PrimaryCCD.getSubY(), PrimaryCCD.getSubW(), PrimaryCCD.getSubH());
        }

        void TimerHit() override
        {
            if (!isConnected())
                return;
            if (exposing)
            {
                double left = sensor.left();
                PrimaryCCD.setExposureLeft(left);
                if (left <= 0)
                {
                    exposing = false;
                    sensor.readOut(PrimaryCCD.getSubX(), PrimaryCCD.getSubY(), PrimaryCCD.getSubW(), PrimaryCCD.getSubH(),
                                   PrimaryCCD.getBinX(), PrimaryCCD.getBinY(),
                                   reinterpret_cast<uint16_t *>(PrimaryCCD.getFrameBuffer()));
                    ExposureComplete(&PrimaryCCD);
                }
            }
            SetTimer(getCurrentPollingPeriod());
        }

    private:
        Sensor sensor;
        bool exposing { false };
};

static std::unique_ptr<Camera> camera(new Camera());
