#include "indifocuser.h"
#include "hardware.h"
#include <memory>

class Focuser : public INDI::Focuser
{
    public:
        Focuser()
        {
            FI::SetCapability(FOCUSER_CAN_ABS_MOVE | FOCUSER_CAN_REL_MOVE | FOCUSER_CAN_ABORT);
            setSupportedConnections(CONNECTION_NONE);
        }

        const char *getDefaultName() override
        {
            return "Focuser";
        }

        bool initProperties() override
        {
            INDI::Focuser::initProperties();
            FocusAbsPosN[0].max = FocusMaxPosN[0].value = FocusMaxPosN[0].max = 25000;
            setDefaultPollingPeriod(250);
            return true;
        }

    protected:
        bool Connect() override
        {
            motor = Motor(5000, 0);
            SetTimer(getCurrentPollingPeriod());
            return true;
        }

        bool Disconnect() override
        {
            return true;
        }

        IPState MoveAbsFocuser(uint32_t targetTicks) override
        {
            target = targetTicks;
            motor.go(target);
            return IPS_BUSY;
        }

        IPState MoveRelFocuser(FocusDirection dir, uint32_t ticks) override
        {
            int32_t wanted = FocusAbsPosN[0].value + (dir == FOCUS_INWARD ? -1 : 1) * static_cast<int32_t>(ticks);
            if (wanted < 0 || wanted > FocusAbsPosN[0].max)
                return IPS_ALERT;
            return MoveAbsFocuser(wanted);
        }

        bool AbortFocuser() override
        {
            motor.halt();
            return true;
        }

        void TimerHit() override
        {
            if (!isConnected())
                return;
            FocusAbsPosN[0].value = motor.where();
            if (FocusAbsPosNP.s == IPS_BUSY || FocusRelPosNP.s == IPS_BUSY)
            {
                if (FocusAbsPosN[0].value == target)
                {
                    FocusAbsPosNP.s = FocusRelPosNP.s = IPS_OK;
                    IDSetNumber(&FocusRelPosNP, nullptr);
                }
                IDSetNumber(&FocusAbsPosNP, nullptr);
            }
            SetTimer(getCurrentPollingPeriod());
        }

    private:
        Motor motor { 5000, 0 };
        double target { 0 };
};

static std::unique_ptr<Focuser> focuser(new Focuser());
