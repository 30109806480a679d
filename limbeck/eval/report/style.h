/// The style sheet of the page: colours as variables, one set for light and one for dark.
#pragma once

#include <string>

namespace limbeck {

std::string page_style();

}  // namespace limbeck
