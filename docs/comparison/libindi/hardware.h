// What all drivers of this comparison written in C++ use; it is counted for none of them.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>

inline double now()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A room with a heater: it is as warm as it shall be, or as cold as outside.
class Room
{
    public:
        void setTarget(double celsius) { target = celsius; }
        void heat(bool on) { heats = on; }
        double temperature() const { return heats ? target : 10; }
    private:
        double target { 15 };
        bool heats { false };
};

// Something that moves at a constant speed.
class Motor
{
    public:
        Motor(double speed, double position) : speed(speed), from(position), to(position) {}
        void go(double position) { from = where(); to = position; began = now(); }
        double where() const
        {
            double gone = (now() - began) * speed;
            if (gone >= std::fabs(to - from))
                return to;
            return std::round((to > from ? from + gone : from - gone) * 10000) / 10000;
        }
        bool isMoving() const { return where() != to; }
        void halt() { from = to = where(); }
    private:
        double speed, from, to, began { 0 };
};

// Two motors: hours of right ascension at a tenth per second, degrees of declination at five.
class Scope
{
    public:
        void where(double &ra, double &dec) const { ra = raMotor.where(); dec = decMotor.where(); }
        void goTo(double ra, double dec) { raMotor.go(ra); decMotor.go(dec); }
        bool isSlewing() const { return raMotor.isMoving() || decMotor.isMoving(); }
        void sync(double ra, double dec) { raMotor = Motor(0.1, ra); decMotor = Motor(5, dec); }
        void halt() { raMotor.halt(); decMotor.halt(); }
        void track(bool) {} // nothing is to be seen of it: the simulated sky stands still
    private:
        Motor raMotor { 0.1, 0 }, decMotor { 5, 90 };
};

// A sensor of 160 x 120 pixels of 16 bits, up to 2 x 2 of which are read out as one.
class Sensor
{
    public:
        void start(double seconds) { end = now() + seconds; }
        double left() const { return std::fmax(end - now(), 0); }
        void stop() { end = 0; }
        // Write rows of pixels, one after the other; each pixel is the number of its column.
        void readOut(int x, int, int width, int height, int xBin, int yBin, uint16_t *pixels) const
        {
            for (int row = 0; row < height / yBin; row++)
                for (int column = 0; column < width / xBin; column++)
                    *pixels++ = x + xBin * column;
        }
    private:
        double end { 0 };
};
