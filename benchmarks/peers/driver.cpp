// The driver that the benchmarks compare others with, as a driver's author writes it against libindi.
//
// The device "Bench" obeys three commands, all of them numbers:
//   ECHO  VALUE  the write is confirmed at once
//   BURST COUNT  so many setNumberVector of READING follow, with the values 1, 2, 3, ...
//   SNAP  BYTES  one setBLOBVector of IMAGE with so many bytes follows; the bytes are made at the first snap of a
//                size and sent from the driver's own memory, where the library of a camera puts them
//
// driver_ours.py and driver_indipydriver.py do the same.

#include <libindi/defaultdevice.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

class Bench : public INDI::DefaultDevice
{
    public:
        Bench()
        {
            setVersion(1, 0);
        }

        const char *getDefaultName() override
        {
            return "Bench";
        }

        bool initProperties() override
        {
            INDI::DefaultDevice::initProperties();
            fill(echo, echoVector, "VALUE", "ECHO", IP_RW);
            fill(burst, burstVector, "COUNT", "BURST", IP_RW);
            fill(reading, readingVector, "VALUE", "READING", IP_RO);
            fill(snap, snapVector, "BYTES", "SNAP", IP_RW);
            IUFillBLOB(&image, "DATA", "Data", ".bin");
            IUFillBLOBVector(&imageVector, &image, 1, getDeviceName(), "IMAGE", "Image", "Main", IP_RO, 60, IPS_IDLE);
            registerProperty(&imageVector);
            return true;
        }

        bool ISNewNumber(const char *dev, const char *name, double values[], char *names[], int n) override
        {
            if (dev == nullptr || strcmp(dev, getDeviceName()) || n != 1)
                return INDI::DefaultDevice::ISNewNumber(dev, name, values, names, n);
            if (!strcmp(name, echoVector.name))
                return confirm(values, names, n);
            if (!strcmp(name, burstVector.name))
                return sendReadings(static_cast<int>(values[0]));
            if (!strcmp(name, snapVector.name))
                return sendImage(static_cast<size_t>(values[0]));
            return INDI::DefaultDevice::ISNewNumber(dev, name, values, names, n);
        }

    private:
        void fill(INumber &number, INumberVectorProperty &vector, const char *member, const char *name, IPerm perm)
        {
            IUFillNumber(&number, member, member, "%.0f", 0, 1e9, 0, 0);
            IUFillNumberVector(&vector, &number, 1, getDeviceName(), name, name, "Main", perm, 60, IPS_IDLE);
            registerProperty(&vector);
        }

        bool confirm(double values[], char *names[], int n)
        {
            IUUpdateNumber(&echoVector, values, names, n);
            echoVector.s = IPS_OK;
            IDSetNumber(&echoVector, nullptr);
            return true;
        }

        bool sendReadings(int count)
        {
            readingVector.s = IPS_OK;
            for (int i = 1; i <= count; i++)
            {
                reading.value = i;
                IDSetNumber(&readingVector, nullptr);
            }
            return true;
        }

        bool sendImage(size_t size)
        {
            if (content.size() != size)
            {
                content.resize(size);
                for (size_t i = 0; i < size; i++)
                    content[i] = static_cast<uint8_t>(i * 31 + (i >> 8));
            }
            image.blob = content.data();
            image.bloblen = image.size = static_cast<int>(size);
            imageVector.s = IPS_OK;
            IDSetBLOB(&imageVector, nullptr);
            return true;
        }

        INumber echo {}, burst {}, reading {}, snap {};
        INumberVectorProperty echoVector {}, burstVector {}, readingVector {}, snapVector {};
        IBLOB image {};
        IBLOBVectorProperty imageVector {};
        std::vector<uint8_t> content;
};

static std::unique_ptr<Bench> bench(new Bench());
