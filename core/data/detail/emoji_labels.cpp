// The label table of Picto: what each subgroup of Unicode's emoji list is labelled.
#include "core/data/detail/emoji_labels.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr LabelMask kPeople = 1U << 0, kFace = 1U << 1, kHandBody = 1U << 2, kAnimal = 1U << 3,
                    kMammal = 1U << 4, kBird = 1U << 5, kOtherAnimal = 1U << 6, kPlant = 1U << 7,
                    kFood = 1U << 8, kFruitVeg = 1U << 9, kDrink = 1U << 10, kTransport = 1U << 11,
                    kBuildingPlace = 1U << 12, kWeatherSpace = 1U << 13, kTime = 1U << 14,
                    kSportGame = 1U << 15, kMusic = 1U << 16, kClothing = 1U << 17, kToolHousehold = 1U << 18,
                    kElectronics = 1U << 19, kOfficePaperMoney = 1U << 20, kSignSymbol = 1U << 21,
                    kArrowShape = 1U << 22, kFlag = 1U << 23, kCelebration = 1U << 24,
                    kReligionZodiac = 1U << 25;

struct Row {
  std::string_view subgroup;
  LabelMask labels;
};

constexpr Row kTable[] = {
    {"face-smiling", kFace},
    {"face-affection", kFace},
    {"face-tongue", kFace},
    {"face-hand", kFace},
    {"face-neutral-skeptical", kFace},
    {"face-sleepy", kFace},
    {"face-unwell", kFace},
    {"face-hat", kFace},
    {"face-glasses", kFace},
    {"face-concerned", kFace},
    {"face-negative", kFace},
    {"face-costume", kFace},
    {"cat-face", kFace | kAnimal | kMammal},
    {"monkey-face", kFace | kAnimal | kMammal},
    {"heart", kSignSymbol},
    {"emotion", kSignSymbol},
    {"hand-fingers-open", kHandBody},
    {"hand-fingers-partial", kHandBody},
    {"hand-fingers-closed", kHandBody},
    {"hand-single-finger", kHandBody},
    {"hands", kHandBody},
    {"hand-prop", kHandBody},
    {"body-parts", kHandBody},
    {"person", kPeople},
    {"person-gesture", kPeople},
    {"person-role", kPeople},
    {"person-fantasy", kPeople},
    {"person-activity", kPeople},
    {"person-resting", kPeople},
    {"person-symbol", kPeople},
    {"family", kPeople},
    {"person-sport", kPeople | kSportGame},
    {"animal-mammal", kAnimal | kMammal},
    {"animal-bird", kAnimal | kBird},
    {"animal-amphibian", kAnimal | kOtherAnimal},
    {"animal-reptile", kAnimal | kOtherAnimal},
    {"animal-marine", kAnimal | kOtherAnimal},
    {"animal-bug", kAnimal | kOtherAnimal},
    {"plant-flower", kPlant},
    {"plant-other", kPlant},
    {"food-fruit", kPlant | kFood | kFruitVeg},
    {"food-vegetable", kPlant | kFood | kFruitVeg},
    {"food-prepared", kFood},
    {"food-asian", kFood},
    {"food-marine", kFood},
    {"food-sweet", kFood},
    {"drink", kFood | kDrink},
    {"dishware", kToolHousehold},
    {"place-map", kBuildingPlace},
    {"place-geographic", kBuildingPlace},
    {"place-building", kBuildingPlace},
    {"place-other", kBuildingPlace},
    {"hotel", kBuildingPlace},
    {"place-religious", kBuildingPlace | kReligionZodiac},
    {"transport-ground", kTransport},
    {"transport-water", kTransport},
    {"transport-air", kTransport},
    {"time", kTime},
    {"sky & weather", kWeatherSpace},
    {"event", kCelebration},
    {"award-medal", kSportGame},
    {"sport", kSportGame},
    {"game", kSportGame},
    {"arts & crafts", kToolHousehold},
    {"clothing", kClothing},
    {"sound", kMusic},
    {"music", kMusic},
    {"musical-instrument", kMusic},
    {"phone", kElectronics},
    {"computer", kElectronics},
    {"light & video", kElectronics},
    {"book-paper", kOfficePaperMoney},
    {"money", kOfficePaperMoney},
    {"mail", kOfficePaperMoney},
    {"writing", kOfficePaperMoney},
    {"office", kOfficePaperMoney},
    {"lock", kToolHousehold},
    {"tool", kToolHousehold},
    {"science", kToolHousehold},
    {"medical", kToolHousehold},
    {"household", kToolHousehold},
    {"other-object", kToolHousehold},
    {"transport-sign", kSignSymbol},
    {"warning", kSignSymbol},
    {"gender", kSignSymbol},
    {"punctuation", kSignSymbol},
    {"other-symbol", kSignSymbol},
    {"keycap", kSignSymbol},
    {"alphanum", kSignSymbol},
    {"arrow", kSignSymbol | kArrowShape},
    {"math", kSignSymbol | kArrowShape},
    {"geometric", kSignSymbol | kArrowShape},
    {"religion", kSignSymbol | kReligionZodiac},
    {"zodiac", kSignSymbol | kReligionZodiac},
    {"av-symbol", kElectronics | kSignSymbol},
    {"currency", kOfficePaperMoney | kSignSymbol},
    {"flag", kFlag},
    {"country-flag", kFlag},
    {"subdivision-flag", kFlag},
};

}  // namespace

const std::array<std::string_view, kNumLabels>& label_names() {
  static constexpr std::array<std::string_view, kNumLabels> kNames = {
      "people",         "face",           "hand_body",
      "animal",         "mammal",         "bird",
      "other_animal",   "plant",          "food",
      "fruit_veg",      "drink",          "transport",
      "building_place", "weather_space",  "time",
      "sport_game",     "music",          "clothing",
      "tool_household", "electronics",    "office_paper_money",
      "sign_symbol",    "arrow_shape",    "flag",
      "celebration",    "religion_zodiac"};
  return kNames;
}

std::optional<LabelMask> labels_of_subgroup(std::string_view subgroup) {
  for (const Row& row : kTable) {
    if (row.subgroup == subgroup) return row.labels;
  }
  return std::nullopt;
}

}  // namespace gauntlet::data::detail
