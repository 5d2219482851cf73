#include "defaultdevice.h"
#include "hardware.h"
#include <memory>
#include <cstring>

class Thermostat : public INDI::DefaultDevice
{
    public:
        const char *getDefaultName() override
        {
            return "Thermostat";
        }

        bool initProperties() override
        {
            INDI::DefaultDevice::initProperties();
            TemperatureNP[0].fill("CELSIUS", "Celsius", "%.1f", 0, 0, 0, 10);
            TemperatureNP.fill(getDeviceName(), "TEMPERATURE", "Temperature", MAIN_CONTROL_TAB, IP_RO, 60, IPS_IDLE);
            TargetNP[0].fill("CELSIUS", "Celsius", "%.1f", -50, 99, 0, 15);
            TargetNP.fill(getDeviceName(), "TARGET", "Target", MAIN_CONTROL_TAB, IP_RW, 60, IPS_IDLE);
            HeatingSP[0].fill("ON", "On", ISS_OFF);
            HeatingSP[1].fill("OFF", "Off", ISS_ON);
            HeatingSP.fill(getDeviceName(), "HEATING", "Heating", MAIN_CONTROL_TAB, IP_RW, ISR_1OFMANY, 60, IPS_IDLE);
            setDefaultPollingPeriod(2000);
            return true;
        }

        bool updateProperties() override
        {
            INDI::DefaultDevice::updateProperties();
            if (isConnected())
            {
                defineProperty(TemperatureNP);
                defineProperty(TargetNP);
                defineProperty(HeatingSP);
                SetTimer(getCurrentPollingPeriod());
            }
            else
            {
                deleteProperty(TemperatureNP);
                deleteProperty(TargetNP);
                deleteProperty(HeatingSP);
            }
            return true;
        }

        bool ISNewNumber(const char *dev, const char *name, double values[], char *names[], int n) override
        {
            if (dev != nullptr && strcmp(dev, getDeviceName()) == 0 && TargetNP.isNameMatch(name))
            {
                if (TargetNP.update(values, names, n))
                {
                    room.setTarget(TargetNP[0].getValue());
                    TargetNP.setState(IPS_OK);
                }
                else
                    TargetNP.setState(IPS_ALERT);
                TargetNP.apply();
                return true;
            }
            return INDI::DefaultDevice::ISNewNumber(dev, name, values, names, n);
        }

        bool ISNewSwitch(const char *dev, const char *name, ISState *states, char *names[], int n) override
        {
            if (dev != nullptr && strcmp(dev, getDeviceName()) == 0 && HeatingSP.isNameMatch(name))
            {
                HeatingSP.update(states, names, n);
                room.heat(HeatingSP[0].getState() == ISS_ON);
                HeatingSP.setState(IPS_OK);
                HeatingSP.apply();
                return true;
            }
            return INDI::DefaultDevice::ISNewSwitch(dev, name, states, names, n);
        }

    protected:
        bool Connect() override
        {
            room = Room();
            return true;
        }

        bool Disconnect() override
        {
            return true;
        }

        void TimerHit() override
        {
            if (!isConnected())
                return;
            TemperatureNP[0].setValue(room.temperature());
            TemperatureNP.setState(IPS_OK);
            TemperatureNP.apply();
            SetTimer(getCurrentPollingPeriod());
        }

    private:
        Room room;
        INDI::PropertyNumber TemperatureNP {1};
        INDI::PropertyNumber TargetNP {1};
        INDI::PropertySwitch HeatingSP {2};
};

static std::unique_ptr<Thermostat> thermostat(new Thermostat());
