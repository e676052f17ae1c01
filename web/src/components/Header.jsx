import { language, t } from "../i18n/index.js";
import { models } from "../state/models.js";
import { chooseModel, model, nextTheme, switchLanguage, theme } from "../state/settings.js";
import { Icon } from "./icons.jsx";

const kThemeIcons = { auto: "system", light: "sun", dark: "moon" };

function modelName({ id, concerto }) {
  const kind = concerto?.kind;
  if (kind === "cascade") return t("model.cascade");
  return ["local", "upstream", "people"].includes(kind) ? t(`model.${kind}`, { id }) : id;
}

function ModelSelect() {
  const known = models.value.length > 0 ? models.value : [{ id: model.value, concerto: { kind: model.value === "concerto" ? "cascade" : "" } }];
  return (
    <label class="select">
      <span class="hidden">{t("model.label")}</span>
      <select id="model" value={model.value} onChange={(event) => chooseModel(event.currentTarget.value)}>
        {known.map((one) => (
          <option key={one.id} value={one.id}>
            {modelName(one)}
          </option>
        ))}
      </select>
      <Icon name="chevron" />
    </label>
  );
}

export function Header({ onMenu }) {
  const themeLabel = t(`settings.theme_${theme.value}`);
  return (
    <header class="head">
      <button type="button" class="quiet only-narrow" id="menu" aria-label={t("nav.open")} onClick={onMenu}>
        <Icon name="menu" />
      </button>
      <ModelSelect />
      <span class="grow" />
      <button
        type="button"
        class="quiet text"
        id="language"
        lang={language.value === "zh" ? "en" : "zh-CN"}
        aria-label={t("settings.language_label")}
        onClick={switchLanguage}
      >
        {t("settings.language")}
      </button>
      <button type="button" class="quiet" id="theme" aria-label={themeLabel} title={themeLabel} onClick={nextTheme}>
        <Icon name={kThemeIcons[theme.value] ?? "system"} />
      </button>
    </header>
  );
}
