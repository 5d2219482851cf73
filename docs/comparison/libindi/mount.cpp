#include "inditelescope.h"
#include "hardware.h"
#include <memory>

class Mount : public INDI::Telescope
{
    public:
        Mount()
        {
            SetTelescopeCapability(TELESCOPE_CAN_GOTO | TELESCOPE_CAN_SYNC | TELESCOPE_CAN_PARK | TELESCOPE_CAN_ABORT |
                                   TELESCOPE_HAS_TRACK_MODE | TELESCOPE_CAN_CONTROL_TRACK, 0);
            setTelescopeConnection(CONNECTION_NONE);
        }

        const char *getDefaultName() override
        {
            return "Mount";
        }

        bool initProperties() override
        {
            INDI::Telescope::initProperties();
            TrackState = SCOPE_IDLE;
            setDefaultPollingPeriod(500);
            return true;
        }

    protected:
        bool Connect() override
        {
            scope = Scope();
            SetTimer(getCurrentPollingPeriod());
            return true;
        }

        bool Disconnect() override
        {
            return true;
        }

        bool ReadScopeStatus() override
        {
            double ra, dec;
            scope.where(ra, dec);
            if (TrackState == SCOPE_SLEWING && !scope.isSlewing())
            {
                TrackState = SCOPE_TRACKING;
                scope.track(true);
            }
            else if (TrackState == SCOPE_PARKING && !scope.isSlewing())
            {
                scope.track(false);
                SetParked(true);
            }
            NewRaDec(ra, dec);
            return true;
        }

        bool Goto(double ra, double dec) override
        {
            scope.goTo(ra, dec);
            TrackState = SCOPE_SLEWING;
            return true;
        }

        bool Sync(double ra, double dec) override
        {
            scope.sync(ra, dec);
            NewRaDec(ra, dec);
            return true;
        }

        bool Park() override
        {
            scope.goTo(0, 90);
            TrackState = SCOPE_PARKING;
            return true;
        }

        bool UnPark() override
        {
            SetParked(false);
            return true;
        }

        bool Abort() override
        {
            scope.halt();
            return true;
        }

        bool SetTrackEnabled(bool enabled) override
        {
            scope.track(enabled);
            TrackState = enabled ? SCOPE_TRACKING : SCOPE_IDLE;
            return true;
        }

    private:
        Scope scope;
};

static std::unique_ptr<Mount> mount(new Mount());
