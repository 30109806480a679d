/// Colours of figures: a perceptually ordered scale, and one set of hues for light and one for dark
/// pages.
///
/// Made in OKLab (B. Ottosson, 2020), where lightness is what an eye sees: the scale only grows
/// lighter, so that order survives grey prints and missing cones. Non-goals: telling series apart
/// by colour alone (marks do that as well).
#pragma once

#include <cstdint>
#include <string>

namespace limbeck {

struct Rgb {
  uint8_t r = 0, g = 0, b = 0;
};
std::string css_colour(Rgb c);  ///< "#a0b1c2"

/// Relative luminance and contrast ratio as the Web Content Accessibility Guidelines define them.
double luminance(Rgb c);
double contrast(Rgb a, Rgb b);

/// Lightness in [0, 1], chroma from 0, hue in degrees; colours that sRGB lacks lose chroma.
Rgb oklch(double lightness, double chroma, double hue);

/// From dark blue (0) to light yellow (1); NaN is grey. The same on light and dark pages: cells
/// bring their own background.
Rgb scale_colour(double t);
/// Black or white, whichever reads better on it.
Rgb text_colour_on(Rgb background);

inline constexpr Rgb kLightPage{255, 255, 255}, kDarkPage{0x15, 0x18, 0x1d};
inline constexpr int64_t kHues = 8;
/// Colour of series `i` (modulo kHues) on a light or a dark page.
Rgb series_colour(int64_t i, bool dark);

}  // namespace limbeck
