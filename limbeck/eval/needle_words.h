/// Words that needles are about: common nouns. Append only, or earlier runs cannot be repeated.
#pragma once

#include <array>
#include <string_view>

namespace limbeck {

inline constexpr std::array<std::string_view, 104> kNeedleWords = {
    "anchor",  "apple",   "arrow",   "attic",   "bakery",  "barrel",  "basket",   "beacon",
    "blanket", "bottle",  "bridge",  "bucket",  "butter",  "button",  "cabin",    "camel",
    "candle",  "canyon",  "carpet",  "castle",  "cellar",  "chapel",  "cherry",   "chimney",
    "circus",  "cottage", "cradle",  "crystal", "curtain", "desert",  "dragon",   "eagle",
    "engine",  "falcon",  "feather", "ferry",   "fiddle",  "forest",  "fountain", "garden",
    "glacier", "granite", "guitar",  "hammer",  "harbor",  "helmet",  "honey",    "island",
    "jacket",  "jungle",  "kettle",  "kitchen", "ladder",  "lantern", "lemon",    "library",
    "lizard",  "marble",  "meadow",  "melon",   "mirror",  "monkey",  "mountain", "mushroom",
    "needle",  "orange",  "orchard", "oyster",  "palace",  "parrot",  "pebble",   "pencil",
    "pepper",  "piano",   "pillow",  "pirate",  "planet",  "pocket",  "pumpkin",  "rabbit",
    "ribbon",  "river",   "rocket",  "saddle",  "salmon",  "shadow",  "shovel",   "silver",
    "sparrow", "spider",  "statue",  "tailor",  "temple",  "ticket",  "tiger",    "tunnel",
    "turtle",  "valley",  "velvet",  "village", "violin",  "wagon",   "walnut",   "window",
};

}  // namespace limbeck
